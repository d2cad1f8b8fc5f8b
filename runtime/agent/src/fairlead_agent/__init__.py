"""The agent that supervises an engine inside its container."""
