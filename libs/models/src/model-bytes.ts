import { statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { externalDataOf } from './external-data';
import { DEPTH_MAX } from './fingerprint';
import { ModelFileError } from './model-files';
import { notAGraph, standIn } from './other-file';

/** Graphs whose external data are remembered: looking for them takes milliseconds. */
const KNOWN_MAX = 1024;
const known = new Map<string, { graph: string; locations: string[] }>();

/*
 * What loading takes at its peak, measured (docs/decisions/0054): weights in files of their own are mapped, laid out anew one by
 * one, and unmapped; those within the graph are there twice for a while.
 */
const GRAPH_BYTE_MORE = 0.25;
const PER_DATA_BYTE = 1.05;
const PER_MODEL_BYTES = 16 * 1024 * 1024;

/** The graph of a model and the files that hold the rest of its weights. A model whose file is gone has none. */
function weightFiles(modelPath: string): { graphBytes: number; dataBytes: number } {
  const graph = statSync(modelPath, { throwIfNoEntry: false });
  if (graph === undefined) return { graphBytes: 0, dataBytes: 0 };
  const locations = locationsOf(modelPath, keyOf(graph));
  const dataBytes = locations.reduce((sum, location) => sum + sizeOf(join(dirname(modelPath), location)), 0);
  return { graphBytes: graph.size, dataBytes };
}

/** 0 where there is no such file: a graph can name what cannot be a path, which the runtime refuses when it loads it. */
function sizeOf(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}

/**
 * Throws a `ModelFileError` for a graph or weights that are plainly something else, and for weights in a file that `filesBelow` leaves
 * out: nobody would see that it was replaced.
 */
export function checkWeightFiles(modelPath: string): void {
  const graph = statSync(modelPath, { throwIfNoEntry: false });
  if (graph === undefined) return;
  const locations = locationsOf(modelPath, keyOf(graph));
  const problem =
    notAGraph(modelPath) ?? locations.map((location) => standIn(join(dirname(modelPath), location))).find((found) => found !== null);
  if (problem) throw new ModelFileError(problem);
  const unseen = locations.find((location) => {
    const parts = location.split('/').filter((part) => !['', '.', '..'].includes(part));
    return parts.length > DEPTH_MAX || parts.some((part) => part.startsWith('.'));
  });
  if (unseen === undefined) return;
  throw new ModelFileError(
    `${modelPath}: expected weights in files whose names begin with no dot, at most ${DEPTH_MAX} folders deep, but received ${JSON.stringify(unseen)}, in which no change would be seen; save the model with another name for them`,
  );
}

/** Of the graph and its external data together; null, a graph of models, has neither. */
export function modelFileBytes(modelPath: string | null): number {
  if (modelPath === null) return 0;
  const { graphBytes, dataBytes } = weightFiles(modelPath);
  return graphBytes + dataBytes;
}

/** The memory that loading the model takes, as the sizes of its files tell; copies of it are loaded one after the other. */
export function loadBytes(modelPath: string, copies = 1): number {
  const { graphBytes, dataBytes } = weightFiles(modelPath);
  return Math.ceil(graphBytes * (copies + GRAPH_BYTE_MORE) + dataBytes * PER_DATA_BYTE * copies + PER_MODEL_BYTES);
}

const keyOf = ({ ino, size, mtimeMs }: Stats): string => `${ino} ${size} ${mtimeMs}`;

function locationsOf(modelPath: string, graph: string): string[] {
  const found = known.get(modelPath);
  if (found?.graph === graph) return found.locations;
  const locations = readLocations(modelPath);
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(modelPath, { graph, locations });
  return locations;
}

/** What is no graph has no weights either: whoever loads it says what is wrong. */
function readLocations(modelPath: string): string[] {
  try {
    return externalDataOf(modelPath);
  } catch {
    return [];
  }
}
