"""The control plane: gather resources, compile them, provision index versions, publish the snapshot."""
