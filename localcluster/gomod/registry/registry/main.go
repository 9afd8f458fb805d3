// The registry of the Distribution project with the one storage that tests need: a folder. The others
// would bring the clients of three clouds, and minutes of compilation.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
