"""What of blitzio.net happens once per connection."""
