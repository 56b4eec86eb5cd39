import { applyTheme, storedTheme } from './theme';

// Before the first paint, so that a page in the chosen colours does not flash in the others.
applyTheme(storedTheme());
