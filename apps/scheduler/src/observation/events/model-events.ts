import type { QuarantinedModel, RepositoryEvent } from '@app/contracts';
import { plainFailure, sentenceOf } from '../view/plain-failure';
import type { NewEvent } from './new-event';
import type { NodeFactsNow } from './node-facts';

type Facts = Pick<NodeFactsNow, 'quarantined' | 'repositoryEvents' | 'breakers' | 'fallbacks'>;

export function modelEvents(before: Facts, after: Facts): NewEvent[] {
  return [...quarantines(before, after), ...ofRepository(before, after), ...breakers(before, after), ...fallbacks(before, after)];
}

const isSame = (a: QuarantinedModel, b: QuarantinedModel): boolean => a.name === b.name && a.version === b.version && a.lane === b.lane;
const nameOf = ({ name, version }: { name: string; version: string }): string => `${name} version ${version}`;

function quarantines({ quarantined: before }: Facts, { quarantined: after }: Facts): NewEvent[] {
  const begun = after.filter((model) => !before.some((other) => isSame(model, other)));
  const ended = before.filter((model) => !after.some((other) => isSame(model, other)));
  return [
    ...begun.map((model): NewEvent => {
      return {
        kind: 'quarantine',
        level: 'bad',
        text: `Model ${nameOf(model)} is out of service in the ${model.lane} lane: it is ${model.reason}`,
        meaning: 'Its requests there are refused, so that it does not take other models down with it.',
        advice: 'Find out which input or file kills it; the log names the deaths. It is tried again by itself.',
        subject: model.name,
      };
    }),
    ...ended.map((model): NewEvent => {
      const text = `Model ${nameOf(model)} is tried again in the ${model.lane} lane.`;
      return { kind: 'quarantine', level: 'ok', text, meaning: 'Its requests are taken again.', advice: null, subject: model.name };
    }),
  ];
}

type Told = Pick<NewEvent, 'kind' | 'level' | 'meaning' | 'advice'>;

/** What is not here says nothing to an operator. */
const REPOSITORY: Partial<Record<RepositoryEvent['kind'], Told>> = {
  serving: { kind: 'model', level: 'ok', meaning: 'Requests for it are answered with these files.', advice: null },
  failed: {
    kind: 'model',
    level: 'bad',
    meaning: 'Requests for this version are refused; other versions and models are not touched.',
    advice: 'Look at the model in the view of models, put its files right, and it is loaded again.',
  },
  kept: {
    kind: 'model',
    level: 'watch',
    meaning: 'The files from before go on answering.',
    advice: 'Put the new files right; they are looked at again by themselves.',
  },
  unloaded: {
    kind: 'model',
    level: 'ok',
    meaning: 'It takes no memory; whether a request loads it again depends on its settings.',
    advice: null,
  },
  release: { kind: 'release', level: 'ok', meaning: 'From now on these versions serve whom the release file says.', advice: null },
  promoted: { kind: 'release', level: 'ok', meaning: 'Requests without a version get it from now on.', advice: null },
  'rolled-back': {
    kind: 'release',
    level: 'watch',
    meaning: 'All requests get the stable version again.',
    advice: 'Read why in the figures of the decision before it is tried again.',
  },
  problem: { kind: 'model', level: 'watch', meaning: 'What serves goes on serving.', advice: 'Do what the message says.' },
};

function ofRepository({ repositoryEvents: before }: Facts, { repositoryEvents: after }: Facts): NewEvent[] {
  const known = new Set(before.map((event) => JSON.stringify(event)));
  return after.flatMap((event) => {
    const told = REPOSITORY[event.kind];
    if (told === undefined || known.has(JSON.stringify(event))) return [];
    const about = event.version === null ? event.model : nameOf({ name: event.model, version: event.version });
    const words = event.kind === 'failed' ? plainFailure(event.message).problem : sentenceOf(event.message);
    return { ...told, text: `Model ${about}: ${words}`, subject: event.model };
  });
}

function breakers({ breakers: before }: Facts, { breakers: after }: Facts): NewEvent[] {
  if (before === null || after === null) return [];
  return after.flatMap(({ name, state, reason }): NewEvent[] => {
    const wasOpen = (before.find((other) => other.name === name)?.state ?? 'closed') !== 'closed';
    if (!wasOpen && state === 'open')
      return [
        {
          kind: 'fallback',
          level: 'bad',
          text: `Calls of ${name} are refused for a while: ${reason ?? 'too many failed'}.`,
          meaning: 'They fail at once instead of waiting; now and then one is let through to see whether it works again.',
          advice: `Look at why ${name} fails: the events before this one, and the log.`,
          subject: name,
        },
      ];
    if (wasOpen && state === 'closed')
      return [
        {
          kind: 'fallback',
          level: 'ok',
          text: `Calls of ${name} are let through again.`,
          meaning: 'It works again.',
          advice: null,
          subject: name,
        },
      ];
    return [];
  });
}

function fallbacks({ fallbacks: before }: Facts, { fallbacks: after }: Facts): NewEvent[] {
  return after
    .filter(({ model, by }) => !before.some((other) => other.model === model && other.by === by))
    .map(({ model, by }) => {
      const stand = by === 'cached' ? 'Kept answers stand' : `Model ${by} stands`;
      return {
        kind: 'fallback',
        level: 'watch',
        text: `${stand} in for model ${model}.`,
        meaning: 'The model had no room or did not serve, and its owner allows this; answers say so in a header.',
        advice: 'If it goes on, there is too much load for the model, or it does not serve.',
        subject: model,
      };
    });
}
