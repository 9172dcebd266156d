"""Every exception of the saga engine; the docstring is the message.

SagaError
├── UnknownDefinition   a saga whose name or version this code does not know
├── StaleSaga           a guarded UPDATE found another state than the one it was computed from
└── VerbRefused         an operator's verb that the saga's state does not allow
    ├── SagaMoves       the saga takes steps faster than it can be locked: try again
    └── NotApplicable   a verb that found nothing to do, and that nobody had done before
"""


class SagaError(Exception):
    """Base of all errors of the saga engine."""


class UnknownDefinition(SagaError):
    """This code does not know the saga's definition or version: deploy code that does (`manage.py sagas check`)."""


class StaleSaga(SagaError):
    """The saga moved on meanwhile: nothing was written."""


class VerbRefused(SagaError):
    """The saga's state does not allow this verb."""


class NotApplicable(VerbRefused):
    """There is nothing that this verb could do, and nobody has done it before."""


class SagaMoves(VerbRefused):
    """The saga takes steps faster than it can be locked: try again in a moment."""
