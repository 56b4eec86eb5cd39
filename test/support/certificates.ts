import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsPaths } from '@app/system';

/** Files of a certificate and its key. */
export interface Issued {
  certFile: string;
  keyFile: string;
}

const NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Certificates in a folder of their own, by the command `openssl` (tools/setup.sh --tests). */
export class Certificates {
  readonly dir = mkdtempSync(join(tmpdir(), 'il-tls-'));
  private count = 0;

  /** Issued by itself, for this machine; `days` below 0: it ended that long ago. */
  selfSigned(subject: string, days = 30): Issued {
    const { certFile, keyFile, request } = this.request(subject);
    openssl(['x509', '-req', '-in', request, '-signkey', keyFile, '-out', certFile, ...this.extensions(NAMES), ...validity(days)]);
    return { certFile, keyFile };
  }

  authority(subject: string): Issued {
    const files = this.files(subject);
    openssl(['req', '-x509', ...KEY, '-subj', `/CN=${subject}`, '-days', '30', '-keyout', files.keyFile, '-out', files.certFile]);
    return files;
  }

  issue(authority: Issued, subject: string): Issued {
    const { certFile, keyFile, request } = this.request(subject);
    const issuer = ['-CA', authority.certFile, '-CAkey', authority.keyFile, '-CAcreateserial'];
    openssl(['x509', '-req', '-in', request, ...issuer, '-out', certFile, ...this.extensions(NAMES), ...validity(30)]);
    return { certFile, keyFile };
  }

  /** Paths of a node's settings, with what `put` writes there. */
  paths(clientCa: Issued | null = null): TlsPaths {
    return { certFile: join(this.dir, 'tls.crt'), keyFile: join(this.dir, 'tls.key'), clientCaFile: clientCa?.certFile ?? null };
  }

  put({ certFile, keyFile }: TlsPaths, issued: Issued): void {
    writeFileSync(certFile, readFileSync(issued.certFile));
    writeFileSync(keyFile, readFileSync(issued.keyFile));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }

  private request(subject: string): Issued & { request: string } {
    const files = this.files(subject);
    const request = `${files.certFile}.request`;
    openssl(['req', '-new', ...KEY, '-subj', `/CN=${subject}`, '-keyout', files.keyFile, '-out', request]);
    return { ...files, request };
  }

  private files(subject: string): Issued {
    const stem = join(this.dir, `${subject.replace(/\W/g, '-')}-${this.count++}`);
    return { certFile: `${stem}.crt`, keyFile: `${stem}.key` };
  }

  private extensions(line: string): string[] {
    const file = join(this.dir, 'extensions');
    writeFileSync(file, `${line}\n`);
    return ['-extfile', file];
  }
}

const validity = (days: number): string[] => ['-days', String(days)];

function openssl(args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
