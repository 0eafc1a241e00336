"""Loads the plugin that turns claims into tests."""

pytest_plugins = ["muse.pytest_plugin"]
