"""What `blitzio.task` is made of: joining, selecting, group, cancel_token."""
