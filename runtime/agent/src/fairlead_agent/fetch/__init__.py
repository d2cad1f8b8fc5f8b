"""Downloads a model from a hub into the pod's own volume, in a container of its own that ends before the engine's is started."""
