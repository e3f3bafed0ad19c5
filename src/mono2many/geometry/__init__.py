"""Pure functions of tensors: cameras, rigid motion, depth, warping. Imports torch and nothing of ours."""
