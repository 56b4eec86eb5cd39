import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/parts.css';
import './styles/charts.css';
import './styles/verdict.css';
import './styles/frame.css';
import './styles/views.css';
import './styles/batches.css';
import './styles/narrow.css';
import { render } from 'preact';
import { App } from './app';

const root = document.getElementById('app');
if (root !== null) render(<App />, root);
