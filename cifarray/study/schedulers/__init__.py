"""Who goes on after an epoch, and which trial a free worker group gets."""
