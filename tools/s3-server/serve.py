"""moto's S3, in memory: serve.py HOST PORT. It does one request at a time; by itself moto lets two conditional writes that meet both succeed."""
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

application = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()


def one_at_a_time(environ, start_response):
    with turn:
        return application(environ, start_response)


run_simple(sys.argv[1], int(sys.argv[2]), one_at_a_time, threaded=True)
