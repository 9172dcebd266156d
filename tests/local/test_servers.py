"""The embedded Postgres and Valkey: started once, found again, ended with whoever started them."""

import os
import shutil
import signal
import time

import psutil
import psycopg
import pytest
import redis

from local import ports
from local.folder import Folder
from local.postgres import Postgres
from local.postgres_installation import find
from local.valkey import Valkey


@pytest.fixture
def postgres(server_folder):
    server = Postgres(server_folder, durable=False)
    server.start()
    yield server
    server.end()


@pytest.fixture
def valkey(server_folder):
    server = Valkey(server_folder)
    server.start()
    yield server
    server.end()


def ask(server, query):
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        return connection.execute(query).fetchone()[0]


def listening_addresses(pid):
    return {connection.laddr.ip for connection in psutil.Process(pid).net_connections("inet")}


def test_postgres_keeps_its_data_port_and_password_from_start_to_start(server_folder, postgres):
    postgres.create_database("kept")
    url = postgres.url("kept")
    postgres.end()

    again = Postgres(server_folder, durable=False)
    again.start()
    try:
        assert again.url("kept") == url
        assert ask(again, "SELECT count(*) FROM pg_database WHERE datname = 'kept'") == 1
    finally:
        again.end()


def test_creating_a_database_twice_leaves_it_alone(postgres):
    postgres.create_database("twice")
    postgres.create_database("twice")

    assert ask(postgres, "SELECT count(*) FROM pg_database WHERE datname = 'twice'") == 1


def test_a_running_postgres_is_used_and_left_running_by_whoever_did_not_start_it(server_folder, postgres):
    second = Postgres(server_folder, durable=False)
    second.start()
    assert second.port == postgres.port

    second.end()

    assert ask(postgres, "SELECT 1") == 1


def test_a_postgres_that_was_killed_is_recovered(server_folder, postgres):
    pid = postgres.program.pid
    os.kill(pid, signal.SIGKILL)
    postgres.program.process.wait()

    again = Postgres(server_folder, durable=False)
    again.start()
    try:
        assert ask(again, "SELECT 1") == 1
    finally:
        again.end()


def test_a_pid_file_whose_number_belongs_to_somebody_else_by_now_is_seen_through(server_folder, postgres):
    data = next(postgres.home.glob("postgres-[0-9]*"))
    postgres.end()
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n{postgres.port}\n\n127.0.0.1\n")

    postgres.start()

    assert ask(postgres, "SELECT 1") == 1


def test_a_preparation_that_was_cut_off_is_begun_again(tmp_path):
    server = Postgres(Folder(tmp_path), durable=False)
    draft = server.home / f"postgres-{find(server.home).major}.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    try:
        server.start()

        assert ask(server, "SELECT 1") == 1
        assert not draft.exists()
    finally:
        server.end()
        shutil.rmtree(server.home)


def test_postgres_is_where_the_service_expects_it(postgres):
    assert listening_addresses(postgres.program.pid) == {"127.0.0.1"}
    assert ask(postgres, "SHOW shared_preload_libraries") == "pg_stat_statements"
    assert int(ask(postgres, "SHOW max_connections")) == 200


def test_postgres_for_a_person_is_durable_and_for_tests_is_not(server_folder):
    for durable, expected in ((True, "on"), (False, "off")):
        server = Postgres(server_folder, durable=durable)
        server.start()
        try:
            assert ask(server, "SHOW fsync") == expected
        finally:
            server.end()


def test_postgres_ends_when_it_is_told_to(postgres):
    pid = postgres.program.pid

    postgres.end()

    assert not psutil.pid_exists(pid)


def test_valkey_answers_on_loopback_only_and_keeps_nothing(valkey):
    client = redis.Redis.from_url(valkey.url(5))

    assert client.set("key", "value")
    assert listening_addresses(valkey.program.pid) == {"127.0.0.1"}
    assert client.config_get("save")["save"] == ""
    assert client.config_get("appendonly")["appendonly"] == "no"


def test_valkey_takes_another_port_when_its_own_was_taken(server_folder, valkey):
    second = Valkey(server_folder)
    second.start()
    try:
        assert second.port != valkey.port
    finally:
        second.end()


def test_valkey_ends_when_it_is_told_to(valkey):
    pid = valkey.program.pid

    valkey.end()

    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not psutil.pid_exists(pid)
    assert ports.is_free(valkey.port)
