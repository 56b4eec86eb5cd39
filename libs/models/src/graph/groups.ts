/** Names that were joined, in pairs, are of one group; every other name is a group of its own. */
export class Groups {
  private readonly parents = new Map<string, string>();

  /** One name of the group, the same for all of it. */
  of(name: string): string {
    let root = name;
    for (let parent = this.parents.get(root); parent !== undefined; parent = this.parents.get(root)) root = parent;
    return root;
  }

  join(name: string, other: string): void {
    const [root, otherRoot] = [this.of(name), this.of(other)];
    if (root !== otherRoot) this.parents.set(otherRoot, root);
  }
}
