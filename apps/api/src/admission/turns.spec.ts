import { setImmediate as nextTurn } from 'node:timers/promises';
import { Turns } from './turns';

describe('Turns', () => {
  it('lets so many at a time, the others in order and in turns of the event loop of their own', async () => {
    const turns = new Turns(2);
    const begun: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void turns.begin().then(() => begun.push(name));
    await nextTurn();
    expect(begun).toEqual(['a', 'b']);
    turns.end();
    await Promise.resolve();
    expect(begun).toEqual(['a', 'b']);
    await nextTurn();
    expect(begun).toEqual(['a', 'b', 'c']);
    for (let i = 0; i < 3; i++) turns.end();
    await nextTurn();
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
    turns.end();
    await turns.begin();
    await turns.begin();
  });
});
