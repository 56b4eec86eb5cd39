#include "graph/rules.h"

namespace interleave::graph {
namespace {

// RNN, GRU and LSTM. Layout 0 has time first: X [time, batch, features]; layout 1 has the batch first.
void Recurrent(Call& call) {
  const bool batchFirst = call.Int("layout", 0) != 0;
  const Numbers& x = call.In(0).dims;
  if (x.size() != 3) call.Unproven("does not fit its input");
  const std::size_t batch = batchFirst ? 0 : 1;
  call.NotAlong(0, batchFirst ? 1 : 0, "goes along the batch axis as time");
  call.NotAlong(0, 2, "takes the batch axis for features");
  call.Constant(1, 4);
  call.Constant(7, 8);
  const Numbers& recurrence = call.In(2).dims;
  if (recurrence.size() != 3) call.Unproven("does not fit its input");
  const Number hidden = recurrence[2];
  const Number directions{.value = call.Text("direction", "forward") == "bidirectional" ? 2.0 : 1.0};
  const Number &time = x[1 - batch], &rows = x[batch];
  if (call.Has(4) && !SameSize(call.In(4).dims.at(0), rows)) call.Unproven("takes lengths that do not follow the rows");
  for (const std::size_t state : {5, 6}) {
    if (!call.Has(state)) continue;
    const Numbers& dims = call.In(state).dims;
    if (dims.size() != 3 || !SameSize(dims[batch], rows)) call.Unproven("takes states that do not follow the rows");
  }
  const Numbers last = batchFirst ? Numbers{rows, directions, hidden} : Numbers{directions, rows, hidden};
  call.Out(0, Shaped(batchFirst ? Numbers{rows, time, directions, hidden} : Numbers{time, directions, rows, hidden}));
  call.Out(1, Shaped(last));
  call.Out(2, Shaped(last));
}

}  // namespace

void AddRecurrentRules(Rules& rules) {
  for (const char* op : {"RNN", "GRU", "LSTM"}) rules[op] = Recurrent;
}

}  // namespace interleave::graph
