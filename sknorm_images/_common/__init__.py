"""Shared by all layers: errors, checks, parallel work, whole files, estimators."""
