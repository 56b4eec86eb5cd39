/** Which part of the executor time that all of them take this one has, above 0 and at most 1; 1 while none is known. */
export function shareOf(one: { readonly load: number }, all: readonly { readonly load: number }[]): number {
  const loads = all.reduce((sum, { load }) => sum + load, 0);
  return loads > 0 && one.load > 0 ? one.load / loads : 1;
}
