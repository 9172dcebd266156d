"""The proxy: each fault lands where it should, between real sockets and in front of a real Postgres."""

import contextlib
import socket
import socketserver
import threading
import time

import psutil
import psycopg
import pytest
from django.db import connection

from local.proxy import COMMIT, Proxy


class Echo(socketserver.BaseRequestHandler):
    """Answers each chunk with the same in capitals, and remembers what reached it."""

    def handle(self):
        with contextlib.suppress(OSError):
            while heard := self.request.recv(65_536):
                self.server.heard += heard
                self.request.sendall(heard.upper())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    heard = b""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(server):
    with Proxy(*server.server_address) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with dial(proxy) as client:
        yield client


def dial(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def hear(client, length):
    heard = b""
    while len(heard) < length:
        chunk = client.recv(length - len(heard))
        assert chunk, f"cut after {heard!r}"
        heard += chunk
    return heard


def is_cut(client):
    """True when the connection was reset, or ended before another byte came."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def until(happened):
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class TestCarries:
    def test_every_byte_passes_both_ways_on_several_connections(self, proxy, client):
        with dial(proxy) as second:
            big = b"x" * 300_000
            second.sendall(big)
            client.sendall(b"hello")

            assert hear(client, 5) == b"HELLO"
            assert hear(second, len(big)) == big.upper()
        assert (proxy.landed.connections, proxy.landed.connections_cut, proxy.landed.patterns) == (2, 0, 0)
        assert proxy.landed.request_bytes == proxy.landed.reply_bytes == len(big) + 5

    def test_an_orderly_end_is_passed_on(self, client):
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)

        assert hear(client, 4) == b"LAST"
        assert client.recv(1) == b""

    def test_a_url_keeps_all_but_its_place(self, proxy):
        assert (
            proxy.url("postgres://me:s%40x@10.0.0.1:5432/db?a=b")
            == f"postgres://me:s%40x@127.0.0.1:{proxy.port}/db?a=b"
        )
        assert proxy.url("redis://127.0.0.1:6379/3") == f"redis://127.0.0.1:{proxy.port}/3"

    def test_it_is_named_after_the_url_it_stands_before(self, server):
        with Proxy.before(f"http://127.0.0.1:{server.server_address[1]}/path") as proxy, dial(proxy) as client:
            client.sendall(b"a")
            assert hear(client, 1) == b"A"

    def test_it_listens_on_loopback_only(self, proxy):
        listening = [row.laddr for row in psutil.Process().net_connections("inet") if row.status == psutil.CONN_LISTEN]
        assert {place.ip for place in listening if place.port == proxy.port} == {"127.0.0.1"}

    def test_its_end_leaves_no_thread_and_no_socket(self, server):
        proxy = Proxy(*server.server_address)
        with dial(proxy) as client:
            proxy.end()
            proxy.end()

            assert is_cut(client)
        assert f"proxy-{proxy.port}" not in [thread.name for thread in threading.enumerate()]
        assert proxy.port not in [row.laddr.port for row in psutil.Process().net_connections("inet") if row.laddr]


class TestFaults:
    def test_a_delay_holds_back_each_way(self, proxy, client):
        proxy.delay(0.2)
        sent_at = time.monotonic()
        client.sendall(b"slow")

        assert hear(client, 4) == b"SLOW"
        assert time.monotonic() - sent_at >= 0.4

    def test_a_cut_resets_what_is_connected_and_serves_what_comes_next(self, proxy, client):
        client.sendall(b"a")
        hear(client, 1)

        assert proxy.cut() == 1

        assert is_cut(client)
        with dial(proxy) as second:
            second.sendall(b"b")
            assert hear(second, 1) == b"B"
        assert proxy.landed.connections_cut == 1

    def test_a_black_hole_tells_nobody_and_healing_lets_all_go_on(self, server, proxy, client):
        client.sendall(b"before")
        hear(client, 6)
        proxy.black_hole()
        client.sendall(b"into the dark")
        client.settimeout(0.2)

        with pytest.raises(TimeoutError):
            client.recv(1)
        assert server.heard == b"before"

        client.settimeout(10)
        proxy.heal()
        assert hear(client, 13) == b"INTO THE DARK"
        assert proxy.landed.connections_cut == 0

    def test_new_connections_are_refused_and_the_old_go_on_until_it_is_healed(self, proxy, client):
        client.sendall(b"a")
        hear(client, 1)
        proxy.refuse()

        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
        client.sendall(b"still")
        assert hear(client, 5) == b"STILL"

        proxy.heal()
        with dial(proxy) as second:
            second.sendall(b"again")
            assert hear(second, 5) == b"AGAIN"

    def test_a_server_that_is_gone_is_a_cut_connection_and_counted(self, server):
        port = server.server_address[1]
        server.shutdown()
        server.server_close()
        with Proxy("127.0.0.1", port) as proxy:
            # Cut so soon that the client may not even see itself connected.
            with contextlib.suppress(ConnectionResetError), dial(proxy) as client:
                assert is_cut(client)
            assert proxy.landed.servers_unreachable == 1


class TestPatterns:
    def test_a_request_arrives_and_its_reply_is_lost(self, server, proxy, client):
        proxy.cut_after(b"pay", forwards=True)
        client.sendall(b"please pay now")

        assert is_cut(client)
        assert server.heard == b"please pay"
        assert (proxy.landed.patterns, proxy.landed.lost_bytes, proxy.landed.reply_bytes) == (1, 10, 0)

    def test_a_request_never_arrives(self, server, proxy, client):
        proxy.cut_after(b"pay", forwards=False)
        client.sendall(b"please pay now")

        assert is_cut(client)
        assert (server.heard, proxy.landed.patterns, proxy.landed.request_bytes) == (b"", 1, 0)

    def test_a_request_arrives_after_its_client_was_cut(self, server, proxy, client):
        proxy.cut_after(b"pay", forwards=True, late_seconds=0.3)
        client.sendall(b"pay")

        assert is_cut(client)
        assert server.heard == b""
        until(lambda: server.heard == b"pay")

    def test_a_pattern_is_found_across_chunks_and_its_last_byte_is_kept_back(self, server, proxy, client):
        proxy.cut_after(b"commit", forwards=False)
        for chunk in (b"com", b"m"):
            client.sendall(chunk)
            hear(client, len(chunk))
        client.sendall(b"it")

        assert is_cut(client)
        assert server.heard == b"comm"

    def test_what_passed_before_is_no_pattern_again(self, proxy, client):
        client.sendall(b"pay")
        hear(client, 3)
        proxy.cut_after(b"pay", forwards=False)
        client.sendall(b" and wait")

        assert hear(client, 9) == b" AND WAIT"
        assert proxy.landed.patterns == 0

    def test_a_reply_is_lost_at_its_pattern(self, server, proxy, client):
        proxy.cut_after(b"PAY", forwards=False, in_replies=True)
        client.sendall(b"pay")

        assert is_cut(client)
        assert (server.heard, proxy.landed.lost_bytes) == (b"pay", 3)

    def test_a_reply_is_cut_behind_its_pattern(self, proxy, client):
        proxy.cut_after(b"PAY", forwards=True, in_replies=True)
        client.sendall(b"pay me")

        assert hear(client, 3) == b"PAY"
        assert is_cut(client)
        assert proxy.landed.lost_bytes == 3

    def test_it_happens_as_often_as_was_asked_and_to_no_other_connection(self, proxy, client):
        proxy.cut_after(b"pay", forwards=True, times=2)
        for _ in range(2):
            with dial(proxy) as victim:
                victim.sendall(b"pay")
                assert is_cut(victim)
        with dial(proxy) as third:
            third.sendall(b"pay")
            assert hear(third, 3) == b"PAY"

        client.sendall(b"bystander")
        assert hear(client, 9) == b"BYSTANDER"
        assert (proxy.landed.patterns, proxy.landed.connections_cut) == (2, 2)

    def test_healing_takes_the_patterns_away(self, proxy, client):
        proxy.cut_after(b"pay", forwards=False)
        proxy.heal()
        client.sendall(b"pay")
        assert hear(client, 3) == b"PAY"


@pytest.mark.django_db(transaction=True)
class TestCommit:
    """The pattern that intake and every recorder fear: a real COMMIT on the wire."""

    @pytest.fixture
    def postgres(self):
        settings = connection.settings_dict
        with Proxy(settings["HOST"], int(settings["PORT"])) as proxy:
            yield proxy
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS landed")

    def commit_through(self, proxy):
        parameters = {**connection.get_connection_params(), "host": "127.0.0.1", "port": proxy.port}
        chosen = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname")}
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE landed (id int)")
        with contextlib.closing(psycopg.connect(**chosen, sslmode="disable")) as client:
            client.execute("INSERT INTO landed VALUES (%s)", [1])
            with pytest.raises(psycopg.OperationalError):
                client.commit()
        assert proxy.landed.patterns == 1

    def landed(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM landed")
            return cursor.fetchone()[0]

    def test_a_commit_whose_reply_is_lost_has_landed(self, postgres):
        postgres.cut_after(COMMIT, forwards=True)
        self.commit_through(postgres)
        assert self.landed() == 1

    def test_a_commit_that_never_arrived_has_not(self, postgres):
        postgres.cut_after(COMMIT, forwards=False)
        self.commit_through(postgres)
        assert self.landed() == 0
