"""Whole models as numbers: from a configuration to layers, and from layers to FLOPs, parameters and caches.

Nothing here imports torch or transformers by itself, builds a module or allocates.
"""
