/** Injection tokens of what is no class of this application. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
/** The open sockets on which API processes accept (`ListeningSockets`), or null: this scheduler looks after none. */
export const LISTENING_SOCKETS = Symbol('listening sockets');
/** `NodeFacts`. */
export const FACTS = Symbol('facts about this machine');
/** `EarlierPlacement`. */
export const EARLIER_PLACEMENT = Symbol('what an earlier scheduler placed');
/** `PreemptionProof`. */
export const PREEMPTION = Symbol('preemption');
/** `LaneControl`, or null: another scheduler looks after the workers. */
export const LANE_CONTROL = Symbol('lane control');
