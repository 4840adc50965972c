"""The Vision Transformer, the CNNs it is compared with, and their presets."""
