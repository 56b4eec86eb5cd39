// Bare session runs for comparison: the same session code and pinned threads as a batch worker, without queue, channel,
// parsing or answers.
//   bare_runs ORT_LIBRARY MODEL OUTPUT CPU...
// One thread per CPU, as the batch lane's executors. Reads commands, one a line, and answers each with one line:
//   table LENGTHS ROWS length... rows... ns...   the cost table, the costs by length, then rows    -> "ok"
//   partition ROWS_MAX TOKENS_MAX length...      how rows of these lengths divide into the cheapest runs  -> "RxL ..."
//   run RxL ...                                  runs of R rows padded to L; a free thread takes the next -> seconds
// A run is of zeros under a mask of ones, as in calibration. Exits with 1 and a message on anything else.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <sstream>
#include <thread>

#include "coalesce/groups.h"
#include "coalesce/partition.h"
#include "isolation/thread_isolation.h"
#include "read_numbers.h"
#include "session/probe_item.h"
#include "session/session.h"

namespace interleave {
namespace {

struct Run {
  std::int64_t rows = 0;
  std::int64_t length = 0;
};

std::string Divide(std::istream& from, const std::shared_ptr<const CostTable>& table) {
  const auto limits = Read<std::int64_t>(from, 2);
  const std::vector<ModelLimits> models{
      {.rowsMax = limits[0], .tokensMax = limits[1], .cost = table, .runNsMax = INT64_MAX}};
  std::vector<QueueEntry> queue;
  for (std::int64_t length = 0; from >> length;) queue.push_back({.lengths = {length, 0}});
  std::vector<std::uint32_t> members(queue.size());
  std::iota(members.begin(), members.end(), 0U);
  const Groups groups = GroupItems(queue, members, {.lane = Lane::kBatch, .models = models});
  std::string answer;
  for (const PlannedRun& run : Partition(queue, groups, models, {})) {
    const std::int64_t longest = queue[groups.order[run.end - 1]].lengths[0];
    answer += std::to_string(run.end - run.begin) + "x" + std::to_string(longest) + " ";
  }
  return answer;
}

std::vector<Run> ReadRuns(std::istream& from) {
  std::vector<Run> runs;
  char by = 0;
  for (Run run; from >> run.rows >> by >> run.length;) runs.push_back(run);
  return runs;
}

class BareRunner {
 public:
  BareRunner(const std::string& library, const std::string& model, const std::string& output, std::vector<int> cpus)
      : session_(Session::Load(ort::OrtLibrary::Load(library), {.modelPath = model})), cpus_(std::move(cpus)) {
    const std::vector<TensorSpec>& outputs = session_->signature().outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].name == output) outputMask_ = std::uint64_t{1} << i;
    }
    if (outputMask_ == 0) throw std::invalid_argument("the model has no output \"" + output + '"');
  }

  double Seconds(const std::vector<Run>& runs) {
    std::vector<ProbeItem> probes;
    for (const Run& run : runs) probes.push_back(MakeProbeItem(session_->signature(), run.rows, run.length));
    std::atomic<std::size_t> next{0};
    const auto started = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (const int cpu : cpus_) {
      threads.emplace_back([&, cpu] {
        IsolateExecutor(Lane::kBatch, cpu);
        Scratch scratch;
        RunLayout layout;
        for (std::size_t i = next++; i < probes.size(); i = next++) {
          LayOut({&probes[i].shape, 1}, layout);
          probes[i].item.outputMask = outputMask_;
          session_->RunForCost(probes[i].item, layout, probes[i].strings, scratch, nullptr);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  }

 private:
  const std::unique_ptr<Session> session_;
  const std::vector<int> cpus_;
  std::uint64_t outputMask_ = 0;
};

void Serve(BareRunner& runner) {
  std::shared_ptr<const CostTable> table = CostTable::Analytic();
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "table") {
      table = ReadTable(words);
      std::cout << "ok" << std::endl;
    } else if (command == "partition") {
      std::cout << Divide(words, table) << std::endl;
    } else if (command == "run") {
      std::cout << runner.Seconds(ReadRuns(words)) << std::endl;
    } else {
      throw std::invalid_argument("expected table, partition or run but received " + command);
    }
  }
}

}  // namespace
}  // namespace interleave

int main(int argc, char** argv) {
  try {
    if (argc < 5) throw std::invalid_argument("expected ORT_LIBRARY MODEL OUTPUT CPU...");
    std::vector<int> cpus;
    for (int i = 4; i < argc; ++i) cpus.push_back(std::stoi(argv[i]));
    interleave::BareRunner runner(argv[1], argv[2], argv[3], std::move(cpus));
    interleave::Serve(runner);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bare_runs: " << error.what() << '\n';
    return 1;
  }
}
