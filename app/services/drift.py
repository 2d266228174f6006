"""Placeholder until the helper's own is here."""


def take_survey(sessions, settings, survey, moment):
    return None


def take_change(sessions, change, moment):
    return None
