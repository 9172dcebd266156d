"""Times as operators compare them with logs: to the second, sortable, UTC like everything here."""

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
