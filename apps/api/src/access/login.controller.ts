import { digestOf } from '@app/access';
import { InterleaveError } from '@app/contracts';
import { Controller, Get, Post, Req, Res } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { protectPage } from '../http/page-headers';
import { Access } from './access';
import { loggedInPage, loginPage, LOGIN_SECURITY_POLICY } from './login-page';
import { Sessions } from './sessions';

const FORM_BYTES_MAX = 4096;
/** Wrong keys from one address within a minute; past them it waits. */
const FAILURES_MAX = 10;
const FAILURES_MS = 60_000;
const ADDRESSES_MAX = 4096;
const DASHBOARD = '/dashboard';

/** Where an operator shows a key once and gets a cookie for the pages. Other routes never take the cookie. */
@ApiExcludeController()
@Controller()
export class LoginController {
  private readonly failures = new LRUCache<string, number>({ max: ADDRESSES_MAX, ttl: FAILURES_MS, noUpdateTTL: true });

  constructor(
    private readonly access: Access,
    private readonly sessions: Sessions,
  ) {}

  @Get('login')
  page(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    if (!this.access.isRequired) return void reply.redirect(DASHBOARD, 303);
    sendPage(reply, 200, this.sessions.keyOf(request.headers.cookie) === null ? loginPage(null) : loggedInPage());
  }

  @Post('login')
  @RouteConfig({ takesForm: true })
  async logIn(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    this.checkFailures(request.ip);
    const digest = digestOf(await readKey(request, reply));
    if (this.isOperator(digest)) {
      void reply.header('set-cookie', this.sessions.begin(digest, isSecure(request))).redirect(DASHBOARD, 303);
      return;
    }
    this.failures.set(request.ip, (this.failures.get(request.ip) ?? 0) + 1);
    void reply.header('www-authenticate', 'Bearer realm="interleave"');
    sendPage(reply, 401, loginPage('This is not a valid key of an operator.'));
  }

  @Post('logout')
  logOut(@Req() request: FastifyRequest, @Res() reply: FastifyReply): void {
    void reply.header('set-cookie', this.sessions.end(request.headers.cookie, isSecure(request))).redirect('/login', 303);
  }

  private isOperator(digest: string): boolean {
    try {
      return this.access.callerOfDigest(digest).isOperator;
    } catch (error) {
      if (error instanceof InterleaveError && error.code === 'unauthorized') return false;
      throw error;
    }
  }

  private checkFailures(address: string): void {
    if ((this.failures.get(address) ?? 0) < FAILURES_MAX) return;
    throw new InterleaveError('overloaded', `More than ${FAILURES_MAX} wrong keys within a minute; wait a minute and try again`, {
      retryAfterSeconds: Math.ceil(this.failures.getRemainingTTL(address) / 1000),
    });
  }
}

async function readKey(request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const length = Number(request.headers['content-length']);
  request.refusedBytesMax = FORM_BYTES_MAX;
  if (!(length <= FORM_BYTES_MAX)) throw new InterleaveError('too_large', `Expected a form of at most ${FORM_BYTES_MAX} bytes`);
  const form = new URLSearchParams((await request.readBody(reply)).toString('utf8'));
  return form.get('key')?.trim() ?? '';
}

/** TLS may end before this node; a browser that came without it would not keep a cookie that is for TLS alone. */
function isSecure({ protocol, headers }: FastifyRequest): boolean {
  return protocol === 'https' || headers['x-forwarded-proto'] === 'https';
}

function sendPage(reply: FastifyReply, status: number, page: string): void {
  protectPage(reply, LOGIN_SECURITY_POLICY, "'self'");
  void reply.code(status).header('content-type', 'text/html; charset=utf-8').send(page);
}
