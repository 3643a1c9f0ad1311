"""The pure core: events and `now` in, actions out (see `events`, `actions`, `tables`)."""
