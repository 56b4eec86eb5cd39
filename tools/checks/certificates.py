"""An authority and certificates for this machine, by the command `openssl`."""
import pathlib
import ssl
import subprocess

NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']


class Authority:
    """Files of an authority in `folder`."""

    def __init__(self, folder, name='authority'):
        self.folder, self.cert, self.key = pathlib.Path(folder), pathlib.Path(folder, f'{name}.crt'), pathlib.Path(folder, f'{name}.key')
        openssl('req', '-x509', *KEY, '-subj', f'/CN={name}', '-days', '30', '-keyout', self.key, '-out', self.cert)

    def issue(self, name):
        """Paths of a certificate and its key."""
        stem = self.folder / name
        cert, key, request, extensions = (stem.with_suffix(end) for end in ('.crt', '.key', '.request', '.extensions'))
        extensions.write_text(NAMES + '\n')
        openssl('req', '-new', *KEY, '-subj', f'/CN={name}', '-keyout', key, '-out', request)
        openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-out', cert, '-days', '30', '-extfile', extensions)
        return cert, key

    def context(self, client=None):
        """For callers that trust this authority; `client`: the pair that they show."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if client is not None:
            context.load_cert_chain(*map(str, client))
        return context


def openssl(*arguments):
    subprocess.run(['openssl', *map(str, arguments)], check=True, capture_output=True)
