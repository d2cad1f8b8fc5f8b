"""What the flags of each engine version are, made from the engine's own help, and whether a ModelDeployment's fit them."""
