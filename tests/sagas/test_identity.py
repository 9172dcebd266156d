"""A saga's id is derived: the same whenever it begins, and in the order in which its subjects were placed."""

from uuid import UUID, uuid4

import pytest
import uuid_utils.compat as uuid_utils
from django.db import transaction

from payments.models import Payment
from sagas.identity import saga_id
from sagas.models import Saga
from tests.support.drive import deliver, drive
from tests.support.shop import START, outcome, saga_of, step

EARLIER, LATER = "01a1f95a-5af0-75b8-a609-0e58f86b53e2", "01a1f95a-5af1-7000-8000-000000000000"


def test_one_subject_has_one_saga_of_a_name_whenever_it_is_asked():
    subject = uuid_utils.uuid7()

    assert saga_id("fulfil_order", subject) == saga_id("fulfil_order", subject)
    assert saga_id("fulfil_order", subject) != saga_id("return_order", subject)
    assert saga_id("fulfil_order", subject) != subject


def test_the_id_is_a_uuid7_of_the_subjects_moment():
    subjects = [uuid_utils.uuid7() for _ in range(1_000)]
    derived = [saga_id("fulfil_order", subject) for subject in subjects]

    assert {(one.version, one.variant) for one in derived} == {(7, "specified in RFC 4122")}
    assert [one.int >> 80 for one in derived] == [one.int >> 80 for one in subjects]
    assert len(set(derived)) == 1_000


def test_a_providers_key_made_today_is_the_one_made_tomorrow():
    """Never to be changed: what stands in providers' books was asked for under such ids."""
    assert str(saga_id("fulfil_order", UUID(EARLIER))) == "01a1f95a-5af0-7f6c-b539-3647515655a8"
    assert saga_id("fulfil_order", UUID(EARLIER)) < saga_id("fulfil_order", UUID(LATER))


def test_a_subject_without_a_moment_gets_an_id_of_now():
    subject = uuid4()

    assert saga_id("fulfil_order", subject).version == 7
    assert saga_id("fulfil_order", subject) != saga_id("fulfil_order", subject)


@pytest.mark.django_db
def test_a_fulfilment_that_a_restore_makes_begin_again_charges_under_the_key_it_had(shop):
    """I3: the backup was taken between the order and its saga; what the saga did after it is known to the provider."""
    order = shop.order()
    with transaction.atomic():
        deliver(START, step("reserve_stock"), step("charge_payment"))
        before = (saga_of(order).pk, Payment.objects.get(order_id=order.pk).provider_key)
        transaction.set_rollback(True)
    assert not Saga.objects.filter(subject_id=order.pk).exists()

    drive()

    assert outcome(order) == ("confirmed", "", "completed")
    assert (saga_of(order).pk, Payment.objects.get(order_id=order.pk).provider_key) == before
    assert len(shop.provider.happened("charge")) == 1
