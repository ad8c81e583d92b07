"""Peers, backends and oracles that the end-to-end tests are written with."""
