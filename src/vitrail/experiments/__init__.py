"""What is carried out: one run, a plan of several, a comparison, an explanation."""
