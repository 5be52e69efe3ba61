"""Weights that others published: what is known of each file, and how it comes onto this machine."""
