// Latency of one encoder on two CPUs: by one thread, by two intra-op threads, and by two shards
// (bench/tensor/shard.py), each on a thread of its own with its own weights, which add up their partial sums in memory
// that both share.
//   tensor_runs ORT_LIBRARY MODEL SHARDS TIMES CPU CPU ROWSxLENGTH...
// The three take turns. Prints for each shape the medians, and how far the shards' outputs are from the whole model's.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <thread>

#include "isolation/cpu_set.h"
#include "session/ort_api.h"

namespace interleave {
namespace {

constexpr int kRunsOfATurn = 20;
constexpr int kVocabulary = 29000;
constexpr std::size_t kShards = 2;
using Values = std::map<std::string, ort::Owned<ort::Value>>;

// All threads leave when the last has come. They spin: a sum takes microseconds.
class Barrier {
 public:
  void Wait() {
    const unsigned round = round_.load();
    if (arrived_.fetch_add(1) + 1 == kShards) {
      arrived_.store(0);
      round_.store(round + 1);
    } else {
      while (round_.load(std::memory_order_acquire) == round) __builtin_ia32_pause();
    }
  }

 private:
  std::atomic<std::size_t> arrived_{0};
  std::atomic<unsigned> round_{0};
};

class Graph {
 public:
  // More than one thread: the others on `cpu`.
  Graph(const ort::OrtLibrary& library, const std::string& path, int threads = 1, int cpu = 0) : library_(library) {
    const ort::Functions& api = library.api();
    ort::SessionOptions* options = nullptr;
    library.Check(api.CreateSessionOptions(&options));
    const ort::Owned<ort::SessionOptions> owned(options, api.ReleaseSessionOptions);
    library.Check(api.SetSessionExecutionMode(options, 0));
    library.Check(api.SetIntraOpNumThreads(options, threads));
    library.Check(api.SetSessionGraphOptimizationLevel(options, 99));
    library.Check(api.SetSessionLogSeverityLevel(options, 4));
    library.Check(api.DisableMemPattern(options));
    const std::string affinity = std::to_string(cpu + 1);
    if (threads > 1)
      library.Check(api.AddSessionConfigEntry(options, "session.intra_op_thread_affinities", affinity.c_str()));
    library.Check(api.CreateSession(library.env(), path.c_str(), options, &session_));
    std::size_t count = 0;
    library.Check(api.SessionGetInputCount(session_, &count));
    for (std::size_t i = 0; i < count; ++i) inputs_.push_back(Name(api.SessionGetInputName, i));
    library.Check(api.SessionGetOutputCount(session_, &count));
    for (std::size_t i = 0; i < count; ++i) outputs_.push_back(Name(api.SessionGetOutputName, i));
  }
  ~Graph() { library_.api().ReleaseSession(session_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const std::vector<std::string>& inputs() const { return inputs_; }
  const std::vector<std::string>& outputs() const { return outputs_; }

  // Takes its inputs out of `values` and adds its outputs.
  void Run(Values& values) const {
    const ort::Functions& api = library_.api();
    std::vector<const char*> inputNames;
    std::vector<const ort::Value*> given;
    for (const std::string& name : inputs_) {
      inputNames.push_back(name.c_str());
      given.push_back(values.at(name).get());
    }
    std::vector<const char*> outputNames;
    for (const std::string& name : outputs_) outputNames.push_back(name.c_str());
    std::vector<ort::Value*> made(outputs_.size(), nullptr);
    library_.Check(api.Run(session_, nullptr, inputNames.data(), given.data(), given.size(), outputNames.data(),
                           made.size(), made.data()));
    for (std::size_t i = 0; i < made.size(); ++i) {
      values.insert_or_assign(outputs_[i], ort::Owned<ort::Value>(made[i], api.ReleaseValue));
    }
  }

 private:
  template <class Function>
  std::string Name(Function read, std::size_t index) const {
    char* name = nullptr;
    library_.Check(read(session_, index, library_.allocator(), &name));
    const std::string copy = name;
    library_.Check(library_.api().AllocatorFree(library_.allocator(), name));
    return copy;
  }

  const ort::OrtLibrary& library_;
  ort::SessionHandle* session_ = nullptr;
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
};

std::vector<std::unique_ptr<Graph>> LoadChain(const ort::OrtLibrary& library, const std::filesystem::path& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::unique_ptr<Graph>> chain;
  for (const std::string& path : paths) chain.push_back(std::make_unique<Graph>(library, path));
  return chain;
}

struct Input {
  Shape shape{};
  std::map<std::string, std::vector<std::int64_t>> tensors{};

  Values Open(const ort::OrtLibrary& library) {
    Values values;
    for (auto& [name, data] : tensors) {
      values.emplace(name, library.TensorOver(data.data(), data.size() * 8, shape, ElementType::kInt64));
    }
    return values;
  }
};

Input MakeInput(const Graph& whole, std::int64_t rows, std::int64_t length) {
  Input input{.shape = {.rank = 2, .dims = {rows, length}}};
  for (const std::string& name : whole.inputs()) {
    std::vector<std::int64_t>& data = input.tensors[name];
    for (std::int64_t i = 0; i < rows * length; ++i) {
      data.push_back(name == "input_ids" ? 1000 + i * 7919 % kVocabulary : name == "attention_mask" ? 1 : 0);
    }
  }
  return input;
}

std::span<float> Floats(const ort::OrtLibrary& library, ort::Value* value, Shape* shape = nullptr) {
  ElementType type{};
  const Shape read = library.ReadShape(value, &type);
  std::size_t count = 1;
  for (std::size_t i = 0; i < read.rank; ++i) count *= static_cast<std::size_t>(read.dims[i]);
  void* data = nullptr;
  library.Check(library.api().GetTensorMutableData(value, &data));
  if (shape != nullptr) *shape = read;
  return {static_cast<float*>(data), count};
}

class Shards {
 public:
  Shards(const ort::OrtLibrary& library, const std::string& folder) : library_(library) {
    for (std::size_t i = 0; i < kShards; ++i) chains_.push_back(LoadChain(library, folder + "/" + std::to_string(i)));
  }

  // By the thread of shard `own`, while the other one does the same.
  void Run(std::size_t own, Values& values) {
    for (std::size_t at = 0; at < chains_[own].size(); ++at) {
      chains_[own][at]->Run(values);
      if (at + 1 < chains_[own].size()) Add(own, at, values);
    }
  }

  void Meet() { barrier_.Wait(); }

 private:
  // Each thread adds up one half of the elements; both read the whole.
  void Add(std::size_t own, std::size_t at, Values& values) {
    Shape shape;
    const std::span<float> partial = Floats(library_, values.at("partial_" + std::to_string(at)).get(), &shape);
    partials_[own] = partial.data();
    if (own == 0 && sum_.size() < partial.size()) sum_.resize(partial.size());
    barrier_.Wait();
    const std::size_t half = partial.size() / 2;
    const std::size_t begin = own == 0 ? 0 : half;
    const std::size_t end = own == 0 ? half : partial.size();
    const float* __restrict first = partials_[0];
    const float* __restrict second = partials_[1];
    float* __restrict sum = sum_.data();
    for (std::size_t i = begin; i < end; ++i) sum[i] = first[i] + second[i];
    barrier_.Wait();
    values.insert_or_assign("sum_" + std::to_string(at),
                            library_.TensorOver(sum, partial.size() * 4, shape, ElementType::kFloat32));
  }

  const ort::OrtLibrary& library_;
  std::vector<std::vector<std::unique_ptr<Graph>>> chains_;
  Barrier barrier_;
  std::array<float*, kShards> partials_{};
  std::vector<float> sum_;
};

using Microseconds = std::vector<double>;

template <class Work>
void Time(Microseconds& into, const Work& work) {
  const auto started = std::chrono::steady_clock::now();
  work();
  into.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count());
}

// Runs of one turn; the first is not counted.
void TakeTurn(const ort::OrtLibrary& library, const Graph& graph, Input& input, Microseconds& into) {
  Microseconds times;
  for (int i = 0; i <= kRunsOfATurn; ++i) {
    Values values = input.Open(library);
    Time(times, [&] { graph.Run(values); });
  }
  into.insert(into.end(), times.begin() + 1, times.end());
}

void TakeTurn(const ort::OrtLibrary& library, Shards& shards, Input& input, int cpu, Microseconds& into) {
  const auto runs = [&](std::size_t own, Microseconds& times) {
    for (int i = 0; i <= kRunsOfATurn; ++i) {
      Values values = input.Open(library);
      shards.Meet();
      Time(times, [&] { shards.Run(own, values); });
      shards.Meet();
    }
  };
  Microseconds times;
  std::thread other([&] {
    CpuSet({cpu}).ApplyTo(0);
    Microseconds ignored;
    runs(1, ignored);
  });
  runs(0, times);
  other.join();
  into.insert(into.end(), times.begin() + 1, times.end());
}

double Difference(const ort::OrtLibrary& library, const Graph& whole, Shards& shards, Input& input, int cpu) {
  Values expected = input.Open(library);
  whole.Run(expected);
  Values values = input.Open(library);
  std::thread other([&] {
    CpuSet({cpu}).ApplyTo(0);
    Values own = input.Open(library);
    shards.Run(1, own);
  });
  shards.Run(0, values);
  other.join();
  double most = 0;
  for (const std::string& name : whole.outputs()) {
    const std::span<float> left = Floats(library, expected.at(name).get());
    const std::span<float> right = Floats(library, values.at(name).get());
    for (std::size_t i = 0; i < left.size(); ++i) most = std::max(most, std::fabs(double{left[i]} - right[i]));
  }
  return most;
}

double Median(Microseconds times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void Main(char** argv, int argc) {
  const auto library = ort::OrtLibrary::Load(argv[1]);
  const int cpus[] = {std::stoi(argv[5]), std::stoi(argv[6])};
  CpuSet({cpus[0]}).ApplyTo(0);
  const Graph one(*library, argv[2]);
  const Graph two(*library, argv[2], 2, cpus[1]);
  Shards shards(*library, argv[3]);
  std::printf("%10s %12s %12s %12s %10s\n", "shape", "1 thread us", "2 intra us", "2 shards us", "difference");
  for (int at = 7; at < argc; ++at) {
    long rows = 0;
    long length = 0;
    if (std::sscanf(argv[at], "%ldx%ld", &rows, &length) != 2) throw std::invalid_argument("expected ROWSxLENGTH");
    Input input = MakeInput(one, rows, length);
    const double difference = Difference(*library, one, shards, input, cpus[1]);
    Microseconds byOne;
    Microseconds byTwo;
    Microseconds byShards;
    for (int turn = 0; turn < std::stoi(argv[4]); ++turn) {
      TakeTurn(*library, one, input, byOne);
      TakeTurn(*library, two, input, byTwo);
      TakeTurn(*library, shards, input, cpus[1], byShards);
    }
    std::printf("%10s %12.0f %12.0f %12.0f %10.1e\n", argv[at], Median(byOne), Median(byTwo), Median(byShards),
                difference);
  }
}

}  // namespace
}  // namespace interleave

int main(int argc, char** argv) {
  try {
    if (argc < 8) throw std::invalid_argument("expected ORT_LIBRARY MODEL SHARDS TIMES CPU CPU ROWSxLENGTH...");
    interleave::Main(argv, argc);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tensor_runs: %s\n", error.what());
    return 1;
  }
}
