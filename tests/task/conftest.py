"""No waiting for the disk here."""

from tests.quick_disk import no_waiting_for_the_disk as no_waiting_for_the_disk
