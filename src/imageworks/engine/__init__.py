"""The process that works: queue, runner, lease, control."""
