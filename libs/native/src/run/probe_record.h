// Remembers past the death of the process that a model was being probed: made-up inputs may kill it where real ones do
// not.
#pragma once

#include <string>

namespace interleave {

class ProbeRecord {
 public:
  // After so many deaths in a row the model is not probed any more.
  static constexpr int kDeathsMax = 2;

  // `path` is a file of this model and worker alone; empty: nothing is remembered.
  explicit ProbeRecord(std::string path) : path_(std::move(path)) {}

  // How often the process died while it probed the model, since the file `modelPath` was written.
  int Deaths(const std::string& modelPath) const;

  // Under way from construction to destruction. A record that cannot be written is none.
  class Probing {
   public:
    Probing(const ProbeRecord& record, int deaths);
    ~Probing();
    Probing(const Probing&) = delete;
    Probing& operator=(const Probing&) = delete;

   private:
    const ProbeRecord& record_;
  };

 private:
  const std::string path_;
};

}  // namespace interleave
