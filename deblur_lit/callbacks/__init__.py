"""What happens around training: checkpoints, progress, images."""
