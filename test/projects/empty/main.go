// Package main imports nothing: a project for commands that bring their own.
package main

func main() {}
