"""The verbs of the command line, one function each: they parse and print; what they do is the library's."""
