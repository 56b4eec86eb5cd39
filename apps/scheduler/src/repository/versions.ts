import { isOnDemand } from './placed';
import { byNameAndVersion, newVersion, type VersionState } from './revision';

/** The model versions of this node: those in the folder, and those that workers still have. */
export class Versions {
  private readonly byKey = new Map<string, VersionState>();

  all(): VersionState[] {
    return [...this.byKey.values()];
  }

  names(): string[] {
    return [...new Set(this.all().map(({ name }) => name))];
  }

  /** By number of the version. */
  ofModel(name: string): VersionState[] {
    return this.all()
      .filter((version) => version.name === name)
      .sort(byNameAndVersion);
  }

  find(name: string, version: string): VersionState | undefined {
    return this.byKey.get(`${name}\n${version}`);
  }

  findOrAdd(name: string, version: string): VersionState {
    const state = this.find(name, version) ?? newVersion(name, version);
    this.byKey.set(`${name}\n${version}`, state);
    return state;
  }

  remove({ name, version }: VersionState): void {
    this.byKey.delete(`${name}\n${version}`);
  }

  /** Those that requests wait for, rather than get another: loaded for whoever asks, or on their way since nothing served. Ascending. */
  awaitedOf(name: string): string[] {
    const isFirst = this.servingOf(name).length === 0;
    return this.ofModel(name)
      .filter((version) => isOnDemand(version) || isOnItsWay(version, isFirst))
      .map(({ version }) => version);
  }

  /** Ascending. */
  servingOf(name: string): string[] {
    return this.ofModel(name)
      .filter(({ serving }) => serving !== null)
      .map(({ version }) => version);
  }
}

/** `isFirst`: nothing of the model serves now. */
function isOnItsWay({ next }: VersionState, isFirst: boolean): boolean {
  return next !== null && next.failure === null && (isFirst || !next.isTrial);
}
