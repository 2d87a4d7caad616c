"""Prompts written for training: everyday traffic and short hard questions in many languages."""

from router.training.templates.generate import template_examples

__all__ = ["template_examples"]
