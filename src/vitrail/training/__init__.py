"""From a configuration and images to trained weights."""
