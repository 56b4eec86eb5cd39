import type { JSX } from 'preact';

/** Why something could not be read or done, in the node's words. */
export const Problem = ({ text }: { text: string }): JSX.Element => (
  <p class="notice" role="alert">
    {text}
  </p>
);
