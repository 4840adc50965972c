"""Train Vision Transformers on your own images, compare them fairly with a CNN, and see what they look at."""
