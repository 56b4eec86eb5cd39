// Follows the rows of a run through a graph.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/call.h"
#include "graph/padding.h"

namespace interleave::graph {

// Works out all values of a graph for given inputs. Throws NoProof with the first operator at which rows meet or that
// cannot be followed. Bounded: 50 000 operators a run, subgraphs and functions included, and 8 million numbers kept.
class Interpreter {
 public:
  explicit Interpreter(const Model& model) : model_(model) {}

  // By the order of the graph's outputs.
  std::vector<Value> Run(const std::unordered_map<std::string_view, Value>& inputs);
  // How the run uses lengths, as in RowProof.
  const std::string& lengthUse() const { return lengthUse_; }
  const PaddingUse& paddingUse() const { return paddingUse_; }

 private:
  struct Frame {
    const Frame* outer = nullptr;  // whose names are seen
    const Opsets* opsets = nullptr;
    const CallAttributes* attributes = nullptr;
    std::unordered_map<std::string_view, Value> values{};

    const Value* Find(std::string_view name) const;
  };

  // Ends the proof when it has taken too much.
  void Spend(std::size_t work);
  void Store(std::string_view name, Value value, Frame& frame);
  void AddInitializers(const Graph& graph, Frame& frame);
  void RunNodes(const std::vector<Node>& nodes, const std::unordered_set<std::string_view>& wanted, Frame& frame);
  void RunNode(const Node& node, Frame& frame);
  void Apply(Call& call, Frame& frame);
  void RunRule(Call& call, Rule rule);
  // Throws NoProof for functions that the runtime may not run as they are written.
  void CheckFunction(const Function& function, const Call& call) const;
  std::vector<Value> RunFunction(const Function& function, const Call& call);
  std::vector<Value> RunBody(const Call& call, std::string_view attribute, std::vector<Value> inputs, Frame& outer);
  void RunIf(Call& call, Frame& frame);
  void RunLoop(Call& call, Frame& frame);
  void RunScan(Call& call, Frame& frame);
  // Runs the body on `head`, `states` and `tail` until the outputs after the first `outputsBefore` are what the states
  // were; returns what it gave then.
  std::vector<Value> RunToRest(const Call& call, std::vector<Value> head, std::vector<Value> states,
                               const std::vector<Value>& tail, std::size_t outputsBefore, Frame& frame);
  void Keep(const Call& call, std::vector<std::optional<Value>>& outputs);
  // Marks what an operator on values without rows may have made of the length of an axis.
  void FindEnds(Call& call);
  void UseLength(const Call& call);

  const Model& model_;
  std::size_t steps_ = 0;
  std::size_t work_ = 0;
  int depth_ = 0;
  std::string lengthUse_;
  PaddingUse paddingUse_;
  // Numbers of axes whose sizes operators decide; those of the inputs' axes come first.
  std::uint32_t axesCount_ = 1U << 20U;
};

}  // namespace interleave::graph
