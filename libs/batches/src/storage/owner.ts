/** Whether whoever asks may know of what a tenant has. */
export type Sees = (tenant: string) => boolean;

/** Of the node itself, and of operators. */
export const SEES_ALL: Sees = () => true;
