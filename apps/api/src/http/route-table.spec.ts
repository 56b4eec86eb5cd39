import { fastify } from 'fastify';
import { RouteTable } from './route-table';

describe('the route table', () => {
  const server = fastify({ exposeHeadRoutes: false });
  const table = RouteTable.of(server);
  server.get('/a.b', () => '');
  server.get('/models/:model', () => '');
  server.delete('/models/:model', () => '');
  server.post('/models/:model(^.+)::predict', () => '');
  server.get('/files/*', () => '');

  it.each([
    ['/a.b', ['GET']],
    ['/axb', []],
    ['/models/x', ['DELETE', 'GET']],
    ['/models/x:predict', ['DELETE', 'GET', 'POST']],
    ['/models/x/y', []],
    ['/models/', []],
    ['/files/x', []],
  ])('knows the methods of %s', (path, methods) => {
    expect(table.methodsOf(path)).toEqual(methods);
  });
});
