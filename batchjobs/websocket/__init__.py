"""Faster hooks into the WebSocket library: each measured, each can be turned off."""
