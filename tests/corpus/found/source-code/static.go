package main

func main() {
	creds := credentials.NewStaticCredentials("<<id:1>>", "<<secret:1>>", "")
	_ = creds
}
